"""What a scene costs. Run: python tests/benchmarks/bench_scenes.py"""

from __future__ import annotations

from time import perf_counter

from unitlens.data.scenes import CLASSES, render_scene


def bench_scenes(rounds: int = 3) -> None:
    """Milliseconds per scene, the mean over all classes and the slowest class, on one thread."""
    for size in (64, 128, 256):
        render_scene(0, size=size)  # textures and composers are loaded
        cost: dict[str, float] = {}
        for name in CLASSES:
            start = perf_counter()
            for index in range(rounds):
                render_scene(index, size=size, scene_class=name)
            cost[name] = (perf_counter() - start) / rounds * 1000
        slowest = max(cost, key=lambda name: cost[name])
        mean = sum(cost.values()) / len(cost)
        print(f"{size:3} px  {mean:6.1f} ms a scene, slowest {cost[slowest]:6.1f} ms ({slowest})")


if __name__ == "__main__":
    bench_scenes()
