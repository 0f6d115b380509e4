/*
 * A directory of the client, an OCI image layout, for the build that asks: a connection over which
 * the daemon says what it wants of it and the client answers, one thing after the other.
 *
 *   "index\n"           -> size, and the bytes of index.json
 *   "stat DIGEST\n"     -> size of a blob
 *   "get DIGEST\n"      -> size, and the blob
 *   "put\n" chunks      -> the blob's size; behind the chunks stands "DIGEST\n"
 *   "name TAG\n" chunks -> 0: the descriptor (JSON) is what the tag means in index.json from now on
 *
 * A size is an int64 in network order; a negative one is an errno, and nothing follows. A chunk is
 * its length, an uint32 in network order, and so many bytes; the one of no bytes is the last.
 */
#pragma once

#define LAYOUT_LINE_MAX 512
#define LAYOUT_CHUNK_MAX (256u << 10)
#define LAYOUT_INDEX_MAX (4u << 20) /* bytes of index.json, and of a descriptor */

#define LAYOUT_INDEX "index"
#define LAYOUT_STAT "stat"
#define LAYOUT_GET "get"
#define LAYOUT_PUT "put"
#define LAYOUT_NAME "name"

#define ANNOTATION_LAYOUT_NAME "org.opencontainers.image.ref.name"
