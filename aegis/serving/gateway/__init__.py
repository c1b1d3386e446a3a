"""The gateway: requests to a language model pass through, those that are choices are recorded or decided by an HRM.

passing    a request to its upstream and the answer back, byte for byte
dialect/   the forms of requests and answers: OpenAI's two and Anthropic's
choice     which decisions a request asks for, before its answer is there
assist     what the HRM decides in place of the upstream
answer     an upstream's answer: unpacked, put together from a stream
span       what OpenTelemetry hears of a choice, where an exporter is configured
recording  the thread that records decisions, off the way of requests
"""
