"""The public kit for plugin authors: the simulated world, the emulator base, fakes and the contract suite.

`world.py` is the truth that emulators share; `emulator.py` is the base of an HTTP emulator; `contract.py` holds
the test classes a plugin inherits (its parts lie beside it); `fakes.py` stands in for the core; `memory.py` is a
well-behaved channel without a protocol and `hostile.py` a badly behaved one. Only emulators and tests import this.
"""
