"""What commands show: text alike for all, progress, the block of a workspace's standing, the live screen."""
