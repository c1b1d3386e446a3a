"""The gateway: requests to a language model pass through unchanged, and those that are choices are recorded.

passing    a request to its upstream and the answer back, byte for byte
choice     which decisions a request asks for, before its answer is there
answer     an answer as one message: unpacked, put together from a stream
recording  the thread that records decisions, off the way of requests
"""
