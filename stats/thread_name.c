#include "thread_name.h"

#include <string.h>

bool thread_name_is_common(const mp_image_t *image, const char *name)
{
    enum { KERNEL_NAME = 15 }; /* longer ones are cut (TASK_COMM_LEN) */
    const struct mp_region_process *p = mp_image_process(image);
    const char *slash = strrchr(p->exe, '/');
    const char *own[] = {p->service, slash != NULL ? slash + 1 : p->exe};
    const char *word = p->command;

    for (unsigned i = 0; i < 2; i++) {
        if (own[i][0] != '\0' && strncmp(name, own[i], KERNEL_NAME) == 0) {
            return true;
        }
    }
    /* Of a script it is the script's: the first or second word of the command, without folders. */
    for (unsigned i = 0; i < 2 && word[0] != '\0'; i++) {
        size_t length = strcspn(word, " ");
        size_t from = length;

        while (from > 0 && word[from - 1] != '/') {
            from--;
        }
        length = length - from < KERNEL_NAME ? length - from : KERNEL_NAME;
        if (length > 0 && strlen(name) == length
            && strncmp(name, word + from, length) == 0) {
            return true;
        }
        word += strcspn(word, " ");
        word += word[0] == ' ';
    }
    return false;
}
