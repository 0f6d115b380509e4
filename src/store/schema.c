/*
 * The catalog's schema, as the steps that built it. A step that has been released never changes:
 * what must change is another step at the end. Times are nanoseconds since the epoch.
 */
#include "store/schema-priv.h"

static const char objects[] =
    "CREATE TABLE setting (key TEXT PRIMARY KEY, val TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE container ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, image TEXT,"
    "  config TEXT, host_config TEXT, network TEXT, state TEXT, rest TEXT) STRICT;"
    "CREATE INDEX container_image ON container (image);"
    "CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, json TEXT) STRICT;"
    "CREATE TABLE address ("
    "  network TEXT NOT NULL REFERENCES network (id) ON DELETE CASCADE, ip TEXT NOT NULL,"
    "  owner TEXT NOT NULL, PRIMARY KEY (network, ip)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX address_owner ON address (owner);"
    "CREATE TABLE volume ("
    "  name TEXT PRIMARY KEY, json TEXT, created INTEGER NOT NULL) STRICT;";

/*
 * A hidden image was deleted while a container made from it exists: it has no names and is shown
 * nowhere, but its layers stay.
 */
static const char images[] =
    "CREATE TABLE layer ("
    "  diff_id TEXT PRIMARY KEY, size INTEGER NOT NULL, tar_size INTEGER NOT NULL,"
    "  created INTEGER NOT NULL) STRICT;"
    "CREATE TABLE image ("
    "  id TEXT PRIMARY KEY, manifest TEXT, parent TEXT, created INTEGER NOT NULL,"
    "  tagged INTEGER NOT NULL, size INTEGER NOT NULL, hidden INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX image_parent ON image (parent);"
    "CREATE TABLE image_layer ("
    "  image TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE, pos INTEGER NOT NULL,"
    "  diff_id TEXT NOT NULL REFERENCES layer (diff_id), PRIMARY KEY (image, pos))"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX image_layer_diff ON image_layer (diff_id);"
    "CREATE TABLE tag ("
    "  name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE)"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX tag_image ON tag (image);"
    "CREATE TABLE repo_digest ("
    "  name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE)"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX repo_digest_image ON repo_digest (image);";

/* Blobs of registries that were proven to be a layer, and where they were seen. */
static const char layer_blobs[] =
    "CREATE TABLE layer_blob ("
    "  blob TEXT PRIMARY KEY, diff_id TEXT NOT NULL REFERENCES layer (diff_id) ON DELETE CASCADE,"
    "  media_type TEXT, size INTEGER NOT NULL, keep_until INTEGER NOT NULL)"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX layer_blob_diff ON layer_blob (diff_id);"
    "CREATE TABLE layer_blob_repo ("
    "  blob TEXT NOT NULL REFERENCES layer_blob (blob) ON DELETE CASCADE, repo TEXT NOT NULL,"
    "  PRIMARY KEY (blob, repo)) STRICT, WITHOUT ROWID;";

/*
 * Blobs of layers that are files here, byte for byte as they came. They stay as long as a manifest
 * names them by which an image, or one of its names, last came; two names of one image may have
 * come by different ones.
 */
static const char kept_blobs[] =
    "ALTER TABLE layer_blob ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE tag ADD COLUMN manifest TEXT;"
    "ALTER TABLE repo_digest ADD COLUMN manifest TEXT;"
    "CREATE TABLE manifest_blob ("
    "  manifest TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (manifest, blob))"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX manifest_blob_blob ON manifest_blob (blob);";

/* The addresses of containers are part of their state, which is written with "running": a second
 * book of them could only be wrong. */
static const char no_addresses[] = "DROP TABLE address;";

/* A name can mean an index, of whose images one or some are here: its document is kept with it. */
static const char indexes[] = "ALTER TABLE tag ADD COLUMN idx TEXT;"
                              "ALTER TABLE repo_digest ADD COLUMN idx TEXT;"
                              "CREATE INDEX image_manifest ON image (manifest);"
                              "CREATE INDEX tag_manifest ON tag (manifest);"
                              "CREATE INDEX repo_digest_manifest ON repo_digest (manifest);";

/* Blobs that a push made of a layer: it would make the same again, so that nobody needs the file.
 */
static const char made_blobs[] =
    "ALTER TABLE layer_blob ADD COLUMN made INTEGER NOT NULL DEFAULT 0;";

/*
 * What a step of a build made, by a digest of everything it depends on. A layer that is not yet
 * synced is only as good as the kernel that holds it: it does not outlive a boot.
 */
static const char build_cache[] =
    "ALTER TABLE layer ADD COLUMN unsynced INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE build_cache ("
    "  key TEXT PRIMARY KEY, diff_id TEXT REFERENCES layer (diff_id) ON DELETE CASCADE,"
    "  description TEXT, created INTEGER NOT NULL, used INTEGER NOT NULL,"
    "  uses INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;"
    "CREATE INDEX build_cache_diff ON build_cache (diff_id);";

/*
 * What is here of an index that a name means: the manifests of its images, and attestations with
 * all that they name. They stay as long as the name, and their images are nobody's rubbish.
 */
static const char index_parts[] =
    "CREATE TABLE index_part ("
    "  idx TEXT NOT NULL, blob TEXT NOT NULL, PRIMARY KEY (idx, blob)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX index_part_blob ON index_part (blob);";

/* What builds there were; their output lies in files. */
static const char build_records[] =
    "CREATE TABLE build_record ("
    "  id TEXT PRIMARY KEY, status TEXT NOT NULL, created INTEGER NOT NULL, json TEXT NOT NULL)"
    "  STRICT, WITHOUT ROWID;";

const char *const schema_steps[] = {objects, images,     layer_blobs, kept_blobs,  no_addresses,
                                    indexes, made_blobs, build_cache, index_parts, build_records};
const int schema_steps_n = sizeof(schema_steps) / sizeof(schema_steps[0]);
