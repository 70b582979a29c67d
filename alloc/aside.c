#include "aside.h"

struct aside aside;
