"""The wire format: schemas, forms, problems, pagination, digests and receipts.

    edit_requests, edit_answers    what `/edits` takes and returns
    concept_schemas                the same for identities, attributes and masks
    fields                         field types that several schemas share
    known_names                    the parts and fields that a route takes
    forms                          checks of forms and their pictures before a job is accepted
    bodies                         strict reading of JSON and forms (a room)
    query                          query parameters
    pages                          pagination
    digests                        `Content-Digest`
    receipts                       signed receipts of erasures
    problem_kinds                  errors to status, code and text
    problems, openai_errors        errors as responses

Nothing here knows the caller or the route.
"""
