"""What commands show: common output, progress, the block of a workspace's status, the live screen."""
