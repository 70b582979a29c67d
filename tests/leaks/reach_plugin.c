/*
 * reach_plugin - a library that holds one pointer, in its own data, until it is unloaded
 */
void reach_plugin_hold(void *pointer);

static void *volatile held;

void reach_plugin_hold(void *pointer)
{
    held = pointer;
}
