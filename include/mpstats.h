/*
 * mpstats.h - reading regions: the library behind the mpalloc command
 */
#ifndef MPSTATS_H
#define MPSTATS_H

#endif
