"""Does a store hold exactly what its catalog knows? Reads the catalog beside a running daemon."""
import json
import os
import sqlite3


def problems(data_root):
    """Texts; none is good. Layers are counted as files, images by what their documents name."""
    db = sqlite3.connect("file:%s?mode=ro" % os.path.join(data_root, "catalog.db"), uri=True)
    try:
        def rows(sql):
            return {r[0] for r in db.execute(sql) if r[0]}
        layers, images = rows("SELECT diff_id FROM layer"), rows("SELECT id FROM image")
        used = rows("SELECT diff_id FROM image_layer") | rows("SELECT diff_id FROM build_cache")
        kept = rows("SELECT diff_id FROM layer_blob WHERE keep_until > unixepoch() * 1000000000")
        manifests = rows("SELECT manifest FROM image UNION SELECT manifest FROM tag UNION"
                         " SELECT manifest FROM repo_digest UNION SELECT idx FROM tag UNION"
                         " SELECT idx FROM repo_digest")
        parts = rows("SELECT blob FROM index_part")
        named = rows("SELECT idx FROM tag UNION SELECT idx FROM repo_digest")
        broken_parts = rows("SELECT idx FROM index_part") - named
        manifests |= parts | rows("SELECT blob FROM layer_blob WHERE kept = 1")
        broken = [r[0] for r in db.execute("PRAGMA integrity_check")] + \
            ["foreign key %s" % (r,) for r in db.execute("PRAGMA foreign_key_check")]
    finally:
        db.close()
    out = [x for x in broken if x != "ok"] + ["parts of no index " + x for x in broken_parts]
    out += differences("layer", layers, names(data_root, "layers"), used | kept)
    out += differences("blob", images | manifests, names(data_root, "image/blobs/sha256"),
                       images | manifests)
    out += ["staged " + x for x in os.listdir(os.path.join(data_root, "image/blobs/ingest"))]
    return out + [x for i in images for x in check_image(data_root, i, layers)]


def names(data_root, folder):
    return {"sha256:" + x for x in os.listdir(os.path.join(data_root, folder))}


def differences(what, rows, files, wanted):
    return ["%s %s: %s" % (what, x, why) for group, why in (
        (rows - files, "a row without a file"), (files - rows, "a file without a row"),
        (rows - wanted, "nobody's"), (wanted - rows, "wanted and not there")) for x in group]


def check_image(data_root, image, layers):
    path = os.path.join(data_root, "image/blobs/sha256", image[7:])
    try:
        with open(path, encoding="utf-8") as f:
            want = json.load(f)["rootfs"]["diff_ids"]
    except (OSError, ValueError, KeyError) as e:
        return ["image %s: %r" % (image, e)]
    return ["image %s: layer %s is missing" % (image, x) for x in want if x not in layers] + \
        ["layer %s has no %s" % (x, part) for x in want for part in ("diff", "recipe")
         if not os.path.exists(os.path.join(data_root, "layers", x[7:], part))]
