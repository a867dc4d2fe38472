"""The whole layer: the shipped daemon on its own files, over the shipped emulators, in virtual time.

`play_whole(seed, seconds)` in `play.py` is the entry. `scene.py` draws what the seed contains, `goods.py` and
`malls.py` furnish it, `shoppers.py`, `staff.py` and `nemesis.py` act in it, `life.py` starts and kills the daemon,
`checks.py` judges.
"""
