"""Image tests: archives that are odd or hostile, and how images get into the store."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
for _folder in (HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "registry")):
    sys.path.insert(0, _folder)

from fixtures import *  # noqa: E402,F401,F403
