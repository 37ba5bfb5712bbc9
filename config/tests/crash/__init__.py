"""A house that can be burnt down and built again: real processes on copies of a prepared world.

`House` (house.py) keeps a sandbox and a parent process (parent.py) that forks one child for each
journey (journeys.py). A child may be killed at any moment that points.py counts. What is left is
read by report.py and compared with a run in which nothing happened. `docs/proofs.md` tells it.
"""
