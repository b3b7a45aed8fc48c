"""What records. Each is switched on before the loop is made, and told when the round is over; what it then
returns goes into the answer."""

import logging
import os


class Bare:
    """Nothing records: this shows how far two equal programs seem to differ."""

    # How much less work is in a batch of a slow recorder than in a bare one.
    slowdown = 1

    def __init__(self, job):
        pass

    def finish(self):
        return {}


class Loopd(Bare):
    """Everything is recorded and sent to a collector."""

    def __init__(self, job):
        import loopd

        loopd.install(endpoint=job["endpoint"], app=job["app"])
        self.loopd = loopd

    def finish(self):
        # The database is asked next: nothing should be on the way.
        flushed = self.loopd.uninstall(timeout=30)
        return {"stats": self.loopd.stats(), "unsent": flushed.unsent}


class Debug(Bare):
    """asyncio's own debug mode, without what printing its log would cost."""

    slowdown = 16

    def __init__(self, job):
        # Both asyncio and uvloop ask for this when a loop is made.
        os.environ["PYTHONASYNCIODEBUG"] = "1"
        logging.getLogger("asyncio").disabled = True


class VizTracer(Bare):
    """viztracer as it comes; its buffer wraps around, and no file is written."""

    slowdown = 2

    def __init__(self, job):
        import viztracer

        self.tracer = viztracer.VizTracer(verbose=0)
        self.tracer.start()

    def finish(self):
        self.tracer.stop()
        self.tracer.clear()
        return {}


class Yappi(Bare):
    """yappi by the wall clock, which is the one that knows about coroutines."""

    slowdown = 4

    def __init__(self, job):
        import yappi

        yappi.set_clock_type("wall")
        yappi.start()
        self.yappi = yappi

    def finish(self):
        self.yappi.stop()
        return {}


BY_NAME = {"bare": Bare, "loopd": Loopd, "debug": Debug, "viztracer": VizTracer, "yappi": Yappi}
