"""A Ray cluster: a teacher in actors, which many ask at once. It knows no agent. Ray is the extra `ray`.

connection   a connection to Ray, on this machine or a running cluster
teacher      the teacher's actors, and the teacher that asks them
lending      keys of the command's environment, for the actor that asks an endpoint
asking       one loaded teacher for many threads: a forward pass for all that wait, or a request for each
"""
