"""`unitlens dissect` under torchrun (gloo, CPU): 1, 2 and 4 processes give the same bits; a killed one loses little.

Each world has its own store. Of conv5_1 some units are measured again, in one more pass that is shared as well.
"""

from __future__ import annotations

from collections import Counter

import pytest

from unitlens.dissection.pilot import pilot_index

COUNT, SHARD, LAYERS = 320, 64, "conv3_2,conv5_1"
ONCE = Counter([*pilot_index(COUNT), *(2 * list(range(COUNT)))])  # all that one process does


def torchrun(world: int, *more: object) -> list[object]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", world, *more]


@pytest.fixture(scope="module")
def alone(new_place):
    """One process without a launcher."""
    place = new_place()
    return place, place.run(COUNT, LAYERS)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_any_number_of_processes_gives_the_same_bits(alone, new_place, same, world):
    place = new_place()
    text = place.run(COUNT, LAYERS, launch=torchrun(world), WATCH_SLOW=0.1)
    same(place, alone[0])
    assert place.runs() == ONCE
    own = [place.runs(f"{rank}.*").total() for rank in range(world)]
    assert len(list(place.log.iterdir())) == world
    assert min(own) > 0 or world == 4  # four share 5 shards: one may come late
    assert text == alone[1].replace(str(alone[0].home), str(place.home))  # told once, by rank 0
    print(f"\n{world} processes saw {own} images of {ONCE.total()}")


def test_a_killed_rank_is_started_again_and_each_process_loses_at_most_a_shard(alone, new_place, same):
    place = new_place()
    launch = torchrun(2, "--max_restarts", 1)
    place.run(COUNT, LAYERS, launch=launch, WATCH_SLOW=0.2, WATCH_KILL="1.0.3")  # in its third batch
    logs = sorted(path.name for path in place.log.iterdir())
    assert [name.rsplit(".", 1)[0] for name in logs] == ["0.0", "0.1", "1.0", "1.1"]
    again = place.runs() - ONCE
    assert SHARD <= again.total() <= 2 * SHARD and max(again.values(), default=0) <= 1
    assert not ONCE - place.runs()
    same(place, alone[0])
    print(f"\na killed rank: {again.total()} images were run again")
