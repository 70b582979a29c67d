/*
 * reach_plugin - a library that holds one pointer, in its own data, until it is unloaded, and one
 * of each thread, in storage that the loader allocates when the thread first asks for it
 */
void reach_plugin_hold(void *pointer);
void **reach_plugin_of_thread(void);

static void *volatile held;
static __thread void *of_thread[32];

void reach_plugin_hold(void *pointer)
{
    held = pointer;
}

void **reach_plugin_of_thread(void)
{
    return &of_thread[9];
}
