/* Manifests, indexes and image configs from registries: what passes the check keeps its promises.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_arena struct arena a = ARENA_INIT;
    struct dist_manifest doc = {.text = (const char *)data, .len = size, .media_type = ""};
    struct remote_manifest m;
    struct platform want;
    struct oci_image *img;
    struct err e = {0};

    if (remote_manifest_check(&doc, &a, &m, &e) < 0) {
        if (!e.msg[0])
            abort();
        return 0;
    }
    if (m.index && (m.man.layers.v || m.man.config))
        abort(); /* two things at once */
    if (!m.index && (!m.man.config || m.man.layers.n > REMOTE_LAYERS_MAX))
        abort();
    if (platform_parse("linux/arm64", &want, NULL) < 0)
        abort();
    if (m.index)
        (void)remote_choose(&m, &want);
    else if (remote_config_check(&m.man, doc.text, doc.len, &a, &img, NULL) >= 0 &&
             img->rootfs.diff_ids.n != m.man.layers.n)
        abort();
    return 0;
}
