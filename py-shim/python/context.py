"""The second argument of a handler (AWS: "Lambda context object in Python")."""

import sys
import time


class CognitoIdentity:
    """Nobody, at the edge."""

    def __init__(self):
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None


class LambdaContext:
    """One invocation of one function."""

    def __init__(self, request_id, deadline_ms, fixed):
        self.aws_request_id = request_id
        self.__dict__.update(fixed)
        self.identity = CognitoIdentity()
        self.client_context = None
        self.tenant_id = None
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext(aws_request_id=%s, function_name=%s)" % (self.aws_request_id, self.function_name)
