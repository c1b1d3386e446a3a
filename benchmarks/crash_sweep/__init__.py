"""Power cuts and failing disks below a workspace: is anything lost that AEGIS said is durable?"""
