/* cleat image ls --tree: images by name, with the platforms that a name stands for below it. */
#pragma once

#include "base/json.h"
#include "cli/cli.h"

/**
 * images_tree() - print it as docker does, in colours on a terminal
 * @images: struct image_summary, with their manifests
 * @all: those without a name, too
 */
void images_tree(struct cli *cli, const struct objv *images, bool all);
