"""What a running service consists of, made once and handed to the routes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request

from turnout.payload.store import Store
from turnout.service.accounts import vault
from turnout.service.accounts.door import Door
from turnout.service.accounts.sessions import Sessions
from turnout.service.accounts.vault import Vault
from turnout.service.clusters.loops import ClusterLoops
from turnout.service.data.stores import DataStores
from turnout.service.db import Database, connect
from turnout.service.runs.folders import RunFolders
from turnout.service.runs.hub import Hub
from turnout.service.runs.loops import RunLoops
from turnout.service.settings import Settings
from turnout.service.targets.pool import TargetPool
from turnout.targets.base import TargetResources


@dataclass
class Activity:
    """When somebody last asked for something, to know when the embedded service may end."""

    requests: int = 0
    last: float = field(default_factory=time.monotonic)

    def clock(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()


@dataclass(frozen=True)
class State:
    """The parts of one service."""

    settings: Settings
    token: str
    #: Name of the cookie of browsers' sessions: ports of one host share cookies, homes must not.
    cookie: str
    sessions: Sessions
    door: Door
    db: Database
    hub: Hub
    folders: RunFolders
    store: Store
    stores: DataStores
    pool: TargetPool
    loops: RunLoops
    clusters: ClusterLoops
    activity: Activity


def build(settings: Settings) -> State:
    """Make the parts; nothing runs yet."""
    home = settings.home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = connect(settings.database_url)
    hub = Hub()
    folders = RunFolders(home)
    stores = DataStores(home)
    store = Store(str(home / "store"))
    loops: RunLoops
    resources = TargetResources(
        home, home / "store", changed=lambda target, handles: loops.changed(target, handles)
    )
    pool = TargetPool(db, Vault(home), resources)
    loops = RunLoops(db, hub, pool, folders, settings, stores)
    clusters = ClusterLoops(db, hub, loops.submitted, loops.taken_back)
    loops.nodes_wanted = clusters.hint
    cookie = f"turnout_{sha256(os.fsencode(home)).hexdigest()[:8]}"
    return State(
        settings=settings,
        token=vault.token(home),
        cookie=cookie,
        sessions=Sessions(db),
        door=Door(home),
        db=db,
        hub=hub,
        folders=folders,
        store=store,
        stores=stores,
        pool=pool,
        loops=loops,
        clusters=clusters,
        activity=Activity(),
    )


def current(request: Request) -> State:
    return request.app.state.turnout


Service = Annotated[State, Depends(current)]
