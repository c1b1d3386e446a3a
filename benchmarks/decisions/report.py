"""x"""
def make_document(*a): return {}
def write_tables(d): return ""
def draw(d,p): pass
