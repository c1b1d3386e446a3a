"""Which policy decides now in a workspace: the teacher, the HRM that serves, or a candidate; loaded and wrapped.

loading      the teacher, or the HRM that serves, loaded for a workspace
deciding     which policy decides now, and the next one after a roll-back
takeover     the next HRM loaded beside the policy that still decides
tempered     the HRM's probabilities, sharpened, and the draw from them
aside        a teacher asked in a thread of its own
guard        a policy's failures told from all others, and the pauses after them
"""
