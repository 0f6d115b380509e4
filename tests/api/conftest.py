"""API tests: raw sockets and docker-py against a daemon of their own."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from fixtures import *  # noqa: E402,F401,F403
