/*
 * notify - what systemd is told: the socket of NOTIFY_SOCKET, and the watchdog
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdint.h>

/* "READY=1" and the like; nothing happens without NOTIFY_SOCKET. */
void notify_say(const char *text);

/* How often WATCHDOG=1 is wanted, half of WATCHDOG_USEC, in ms; 0: it is not. */
uint64_t notify_watchdog_ms(void);

#endif
