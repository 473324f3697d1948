"""Contains all the data models used in inputs/outputs"""

from .attribute import Attribute
from .attribute_form import AttributeForm
from .attribute_form_mask_mode import AttributeFormMaskMode
from .attribute_form_preset import AttributeFormPreset
from .attribute_page import AttributePage
from .consent import Consent
from .dry_run import DryRun
from .dry_run_learning import DryRunLearning
from .edit import Edit
from .edit_document import EditDocument
from .edit_document_edit_mask_mode_type_0 import EditDocumentEditMaskModeType0
from .edit_document_mask_mode_type_0 import EditDocumentMaskModeType0
from .edit_document_output_format_type_0 import EditDocumentOutputFormatType0
from .edit_document_preset_type_0 import EditDocumentPresetType0
from .edit_error import EditError
from .edit_form import EditForm
from .edit_form_edit_mask_mode import EditFormEditMaskMode
from .edit_form_mask_mode import EditFormMaskMode
from .edit_form_output_format import EditFormOutputFormat
from .edit_form_preset import EditFormPreset
from .edit_kind import EditKind
from .edit_page import EditPage
from .edit_phase_type_0 import EditPhaseType0
from .export import Export
from .health import Health
from .identity import Identity
from .identity_form import IdentityForm
from .identity_form_mask_mode import IdentityFormMaskMode
from .identity_form_preset import IdentityFormPreset
from .identity_page import IdentityPage
from .import_form import ImportForm
from .job_state import JobState
from .key_set import KeySet
from .key_set_keys_item import KeySetKeysItem
from .link import Link
from .list_edits_kind_type_0 import ListEditsKindType0
from .mask_form import MaskForm
from .picture import Picture
from .post_form import PostForm
from .post_form_fields import PostFormFields
from .problem import Problem
from .problem_detail import ProblemDetail
from .progress_view import ProgressView
from .progress_view_phase import ProgressViewPhase
from .put_request import PutRequest
from .put_request_headers import PutRequestHeaders
from .receipt import Receipt
from .receipt_erased import ReceiptErased
from .report import Report
from .report_values import ReportValues
from .stream_edit_response_200_type_0 import StreamEditResponse200Type0
from .stream_edit_response_200_type_0_event import StreamEditResponse200Type0Event
from .token import Token
from .token_request import TokenRequest
from .token_request_scopes_type_0_item import TokenRequestScopesType0Item
from .upload_request import UploadRequest
from .upload_request_media_type import UploadRequestMediaType
from .upload_view import UploadView
from .upload_view_state import UploadViewState
from .webhook_data import WebhookData
from .webhook_data_state import WebhookDataState
from .webhook_message import WebhookMessage

__all__ = (
    "Attribute",
    "AttributeForm",
    "AttributeFormMaskMode",
    "AttributeFormPreset",
    "AttributePage",
    "Consent",
    "DryRun",
    "DryRunLearning",
    "Edit",
    "EditDocument",
    "EditDocumentEditMaskModeType0",
    "EditDocumentMaskModeType0",
    "EditDocumentOutputFormatType0",
    "EditDocumentPresetType0",
    "EditError",
    "EditForm",
    "EditFormEditMaskMode",
    "EditFormMaskMode",
    "EditFormOutputFormat",
    "EditFormPreset",
    "EditKind",
    "EditPage",
    "EditPhaseType0",
    "Export",
    "Health",
    "Identity",
    "IdentityForm",
    "IdentityFormMaskMode",
    "IdentityFormPreset",
    "IdentityPage",
    "ImportForm",
    "JobState",
    "KeySet",
    "KeySetKeysItem",
    "Link",
    "ListEditsKindType0",
    "MaskForm",
    "Picture",
    "PostForm",
    "PostFormFields",
    "Problem",
    "ProblemDetail",
    "ProgressView",
    "ProgressViewPhase",
    "PutRequest",
    "PutRequestHeaders",
    "Receipt",
    "ReceiptErased",
    "Report",
    "ReportValues",
    "StreamEditResponse200Type0",
    "StreamEditResponse200Type0Event",
    "Token",
    "TokenRequest",
    "TokenRequestScopesType0Item",
    "UploadRequest",
    "UploadRequestMediaType",
    "UploadView",
    "UploadViewState",
    "WebhookData",
    "WebhookDataState",
    "WebhookMessage",
)
