"""The dashboard: one page on which an agent's life can be followed, and its owner can act.

overview   where the agent and its decision points stand, for the page and for `aegis status`; place: which are shown
decisions/ which decisions a page shows, and a decision as it shows it
stream     what is new, as it happens
report/    the same as one HTML file, and as plots
learning   trainings, confusion, switches; model: versions, and which one decides
inbox      what the agent asks of its person; pausing: whether it decides; knowledge: what it knows
session    who may look and act
route      the routes; app: the server
page/      HTML, CSS and JavaScript modules, as the browser reads them

The terminal uses `overview` and `learning`; nothing else here is imported without the packages of `[serve]`.
"""
