"""Compare: what differs between two results, and where it began.

Reading order: difference (two views, in their formats' words), listings (trees of the store as such views), explain
(two makings of a format: stages before files), record (a build that was made before, here or elsewhere), then side,
comparison and rendering (any two things, by topic, in any form). software reads what a node says of itself, as
pipeline.kernel.image does.
"""
