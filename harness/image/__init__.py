"""Images: the disks that cells boot from.  Recipes are in ``images/``."""
