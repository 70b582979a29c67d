#include "report_alerts.h"

#include "alerting.h"
#include "history.h"
#include "must.h"
#include "said.h"
#include "view.h"

#include <limits.h>

/* Verdicts take 0.2 ms for each stack: of more, leaks have a page of their own. */
enum { SITES_MOST = 2000 };

struct alert_notice *report_alerts_make(const mp_image_t *image, size_t *ret_count)
{
    enum mp_life life = mp_image_life(image);
    bool runs = life == MP_LIFE_RUNNING || life == MP_LIFE_ELSEWHERE;
    struct mp_error error = {""};
    struct alert_notice *list;
    struct alerting *a;
    struct config *c;
    sqlite3 *db = NULL;
    char path[PATH_MAX];
    size_t used = 0;

    if (config_load(NULL, &c, &error) != 0) {
        said_note("mpalloc report", "%s: alerts are by the built-in rules", error.text);
        if (config_parse("", 0, "", NULL, &c, NULL) != 0) {
            must(NULL);
        }
    }
    if (history_find_path(path, sizeof(path)) && history_is_there(path)) {
        history_open("report", path, HISTORY_READ, &db);
    }
    a = alerting_create(&(struct alerting_options){
        .config = c, .db = db, .is_quick = mp_image_site_count(image) > SITES_MOST});
    alerting_begin(a);
    alerting_look(a, image, NULL, NULL,
        runs ? view_now_ns() : mp_image_totals(image)->published_ns);
    list = alerting_list(a, false, ret_count);
    for (size_t i = 0; i < *ret_count; i++) {
        if (list[i].state == MP_ALERT_FIRING && list[i].silenced_by[0] == '\0') {
            list[used++] = list[i];
        }
    }
    *ret_count = used;
    alerting_destroy(a, 0);
    history_close(db);
    config_free(c);
    return list;
}
