"""All dashboards, in the order of their links."""

from . import clients, cluster, node, overview

ALL = [overview.DASHBOARD, node.DASHBOARD, cluster.DASHBOARD, clients.DASHBOARD]
NAMES = {page.name: page.title for page in ALL}
