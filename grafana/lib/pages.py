"""All dashboards, in the order of their links."""

from . import overview

ALL = [overview.DASHBOARD]
NAMES = {page.name: page.title for page in ALL}
