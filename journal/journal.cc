#include "nimbus/journal/journal.h"
