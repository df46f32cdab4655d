"""Images: the disks that cells boot from.  Recipes are in ``images/``."""

from harness.image.model import Image
from harness.image.recipe import Recipe, load, names
from harness.image.seed import seed_iso, user_data
from harness.image.store import ensure, list_images, remove, verify

__all__ = ["Image", "Recipe", "ensure", "list_images", "load", "names", "remove", "seed_iso",
           "user_data", "verify"]
