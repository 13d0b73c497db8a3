def handler(event, context):
    return [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id, context.client_context]
