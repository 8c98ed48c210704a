/// What a run tells its host as it goes, as plain values; how they look is the host's matter.
namespace Tva.Dsl

open System
open System.Collections.Generic
open Tva.Core.Execution

/// A table of numbers with a label per row.
type ResultTable =
    { Columns: string list
      Rows: (string * float list) list
      /// Single numbers about all of it.
      Summary: (string * float) list }

    static member Of(columns, rows) = { Columns = columns; Rows = rows; Summary = [] }

/// What `print` and expression statements show.
[<RequireQualifiedAccess>]
type Shown =
    | Text of string
    | Number of float
    | Truth of bool
    | Table of ResultTable
    /// A Model, Delta or Family: title and facts in order.
    | Card of title: string * facts: (string * string) list
    | List of Shown list

[<RequireQualifiedAccess>]
type Event =
    /// The items of one `print`, or one expression's value with its text.
    | Shown of expression: string option * items: Shown list
    | Saved of path: string * bytes: int64
    /// What the modules of a saved adapter have lost: their names, ranks and relative errors.
    | Truncated of path: string * modules: (string * int * float) list
    | Warned of string
    /// Something worth knowing that is no warning.
    | Noted of string
    /// A pass over data begins: what for.
    | Started of string
    | Progressed of RunProgress
    /// A pass has ended: bytes read, bytes written, time.
    | Finished of read: int64 * written: int64 * elapsed: TimeSpan

/// How a run ended, faults aside.
[<RequireQualifiedAccess>]
type Outcome =
    | Completed
    /// The failed assertion, as text with the values on both sides.
    | AssertionFailed of string

type RunSettings =
    { Memory: int64
      Threads: int
      /// NaN or infinity in an input is a fault.
      Strict: bool
      /// Gram matrices are kept beside the families that they are of, and used again.
      Cache: bool
      /// Where plans are computed: "cpu", "auto" for the CPU or a graphics card that is worth the transfer, "gpu", or a device's number, id or name.
      Device: string
      /// Bytes of a device's memory that may be taken; None: three quarters.
      DeviceMemory: int64 option }

    static member Default =
        let o = RunOptions.Default
        { Memory = o.Memory; Threads = o.Threads; Strict = o.Strict; Cache = true; Device = "cpu"; DeviceMemory = None }

    /// The choice of a device that these settings are.
    member s.Choice = DeviceChoice(s.Device, Option.toNullable s.DeviceMemory)
