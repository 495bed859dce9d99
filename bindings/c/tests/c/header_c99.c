/* The header stands alone in C99, and its structures have no hidden surprises. */
#include "dmue_edge.h"

#include <stdio.h>
#include <string.h>

/* struct_size comes first in every structure that the caller allocates. */
#define STARTS_WITH_SIZE(type) (offsetof(type, struct_size) == 0)

int main(void) {
    dmue_engine_options options;
    dmue_status status = dmue_engine_options_init(&options, sizeof options);
    int sizes_first = STARTS_WITH_SIZE(dmue_engine_options) && STARTS_WITH_SIZE(dmue_frame) &&
                      STARTS_WITH_SIZE(dmue_face) && STARTS_WITH_SIZE(dmue_known_face) &&
                      STARTS_WITH_SIZE(dmue_session_options) && STARTS_WITH_SIZE(dmue_timings);
    if (status != DMUE_STATUS_OK || options.struct_size != sizeof options || !sizes_first) {
        return 1;
    }
    if (dmue_abi_version() != DMUE_ABI_VERSION || strlen(dmue_version()) == 0) {
        return 2;
    }
    printf("%s\n", dmue_version());
    return 0;
}
