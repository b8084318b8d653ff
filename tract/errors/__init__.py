"""Every exception that Tract raises on purpose.

The second level says what the caller can do about it::

    TractError
      RefusedError              the call makes no sense as it stands: change it
        RefNotFoundError  AmbiguousRefError  InvalidNameError
        BranchExistsError  BranchNotFoundError  BranchTooYoungError  DetachedHeadError
        TractNotFoundError  AmbiguousTractError
        TurnInProgressError  TurnStateError  BatchError  EditTargetError
        RevertError  ContentValidationError  BudgetExceededError  ClosedError
        WrongLoopError
        ModelNotConfiguredError  CompilerError  ConfigError
        SearchUnavailableError  ToolArgumentsError
      ConflictError             somebody else was faster: look, then decide
        HeadMovedError  OperationMismatchError  GenerationLostError
      ModelError                the provider failed: retry, wait or give up
        ModelAuthError  ModelQuotaError  ModelRateLimitError  ModelContextError
        ModelResponseError
          ModelAnswerError  ModelRefusalError
        ModelTimeoutError  ModelConnectionError
      StoreError                the file or the disk: mend it, then reopen
        StoreNotFoundError  FolderNotFoundError  NotAStoreError  NewerSchemaError
        StoreLockedError  StoreFullError  StoreReadOnlyError  StoreUnreadableError
        StoreVanishedError  StoreFailedError  NetworkFileSystemError  NewerEventError
        DestinationExistsError  UnreadableExportError
        MalformedExportError  NewerExportError
        FamilyDiffersError  TractExistsError
        ProjectionError  ProjectionLagError  RebuildRunningError
      CorruptLogError           the log is damaged: stop and restore

An error holds ids, names, counts and types, never text that a person or a
model wrote, so it can be logged. None of them leaves anything half-done.
They pickle, and are plain classes: thirty of attrs would take a tenth of the
time of `import tract`. Imports nothing of ours.
"""

from tract.errors.conflicts import (
    GenerationLostError,
    HeadMovedError,
    OperationMismatchError,
)
from tract.errors.models import (
    ModelAnswerError,
    ModelAuthError,
    ModelConnectionError,
    ModelContextError,
    ModelError,
    ModelQuotaError,
    ModelRateLimitError,
    ModelRefusalError,
    ModelResponseError,
    ModelTimeoutError,
)
from tract.errors.refused import (
    AmbiguousRefError,
    AmbiguousTractError,
    BatchError,
    BranchExistsError,
    BranchNotFoundError,
    BranchTooYoungError,
    BudgetExceededError,
    ClosedError,
    CompilerError,
    ConfigError,
    ContentValidationError,
    DetachedHeadError,
    EditTargetError,
    InvalidNameError,
    ModelNotConfiguredError,
    RefNotFoundError,
    RevertError,
    SearchUnavailableError,
    ToolArgumentsError,
    TractNotFoundError,
    TurnInProgressError,
    TurnStateError,
    WrongLoopError,
)
from tract.errors.roots import (
    ConflictError,
    RefusedError,
    StoreError,
    TractError,
)
from tract.errors.stores import (
    CorruptLogError,
    DestinationExistsError,
    FamilyDiffersError,
    FolderNotFoundError,
    MalformedExportError,
    NetworkFileSystemError,
    NewerEventError,
    NewerExportError,
    NewerSchemaError,
    NotAStoreError,
    ProjectionError,
    ProjectionLagError,
    RebuildRunningError,
    StoreFailedError,
    StoreFullError,
    StoreLockedError,
    StoreNotFoundError,
    StoreReadOnlyError,
    StoreUnreadableError,
    StoreVanishedError,
    TractExistsError,
    UnreadableExportError,
)

__all__ = [
    "AmbiguousRefError",
    "AmbiguousTractError",
    "BatchError",
    "BranchExistsError",
    "BranchNotFoundError",
    "BranchTooYoungError",
    "BudgetExceededError",
    "ClosedError",
    "CompilerError",
    "ConfigError",
    "ConflictError",
    "ContentValidationError",
    "CorruptLogError",
    "DestinationExistsError",
    "DetachedHeadError",
    "EditTargetError",
    "FamilyDiffersError",
    "FolderNotFoundError",
    "GenerationLostError",
    "HeadMovedError",
    "InvalidNameError",
    "MalformedExportError",
    "ModelAnswerError",
    "ModelAuthError",
    "ModelConnectionError",
    "ModelContextError",
    "ModelError",
    "ModelNotConfiguredError",
    "ModelQuotaError",
    "ModelRateLimitError",
    "ModelRefusalError",
    "ModelResponseError",
    "ModelTimeoutError",
    "NetworkFileSystemError",
    "NewerEventError",
    "NewerExportError",
    "NewerSchemaError",
    "NotAStoreError",
    "OperationMismatchError",
    "ProjectionError",
    "ProjectionLagError",
    "RebuildRunningError",
    "RefNotFoundError",
    "RefusedError",
    "RevertError",
    "SearchUnavailableError",
    "StoreError",
    "StoreFailedError",
    "StoreFullError",
    "StoreLockedError",
    "StoreNotFoundError",
    "StoreReadOnlyError",
    "StoreUnreadableError",
    "StoreVanishedError",
    "ToolArgumentsError",
    "TractError",
    "TractExistsError",
    "TractNotFoundError",
    "TurnInProgressError",
    "TurnStateError",
    "UnreadableExportError",
    "WrongLoopError",
]
