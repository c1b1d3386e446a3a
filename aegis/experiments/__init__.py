"""Measurements that users run: the HRM beside other models and policies, and the time it takes.

scan       what a file of decisions promises, before anything is trained
comparison the HRM beside simple models, on the same splits
off_policy what a version would have earned in decisions that another one drew
drawn      the drawn decisions that may judge a version, and how many rewards they lack
learned    which decisions of a workspace a version learned from
replay     recorded decisions asked again of a version: where it chooses another action
evaluation policies beside each other by what they earn, in the same simulated worlds
benchmark  the HRM's time beside GPT-2's, side by side in one run; timing/ measures it
"""
