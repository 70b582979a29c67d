#include <criterion/criterion.h> /* nothing is redirected here */
