/* leaf - what plugin.c opens; two opens must give the same object and its own namespace */
int leaf_value(void);

int leaf_value(void)
{
    return 42;
}
