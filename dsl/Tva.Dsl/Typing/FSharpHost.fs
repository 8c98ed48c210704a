/// What a text's F# asks of whoever can compile it: F# texts go out; values, elementwise functions or mistakes come back. Here so
/// that this assembly needs no F# compiler: a host gives one (Tva.Scripting), and nobody loads it before a text holds F#.
namespace Tva.Dsl.Typing

open System
open System.Threading
open Tva.Dsl

/// A piece of F#, as meant: escapes are resolved. `Column` (from 0) is where its first character stands on its line.
type FSharpCode = { Text: string; Column: int }

/// What is wrong with a piece of F#, at UTF-16 offsets into the text of the piece with that number: 0 for the first one defined, and
/// so on; -1 for the one that is asked about.
type FSharpMistake =
    { Piece: int
      Start: int
      End: int
      Message: string
      /// Not TVA's word for it but the compiler's, as `FS0001`; empty for exceptions and for what can't be translated.
      Code: string
      Help: string option
      IsWarning: bool }

/// What F# expressions may give.
[<RequireQualifiedAccess>]
type FSharpValue =
    | Number of float
    | Truth of bool
    | Text of string
    | List of FSharpValue list
    | Record of (string * FSharpValue) list

/// One instruction of an elementwise function; operands are earlier instructions.
[<RequireQualifiedAccess>]
type FSharpStep =
    | Argument of int
    | Constant of float
    /// An op of the table, by name, and where it is written, if that is in the piece asked about.
    | Operation of name: string * operands: int[] * start: int * finish: int

/// An F# function of scalars as instructions; the last one is its result.
type FSharpFunction =
    { Steps: FSharpStep[]
      /// Its result is a condition.
      IsTruth: bool }

/// An F# compiler with the names defined so far. Every call may be stopped by its token, also where the F# loops for ever: it then
/// throws OperationCanceledException.
type IFSharpHost =
    inherit IDisposable
    /// Defines names for later pieces.
    abstract Define: code: FSharpCode * stop: CancellationToken -> FSharpMistake list
    /// The value of an expression, or what is wrong. Warnings may come with a value.
    abstract Evaluate: code: FSharpCode * stop: CancellationToken -> FSharpValue option * FSharpMistake list
    /// A function of scalars, one for each parameter (true: a condition, else a number), as instructions.
    abstract Function: code: FSharpCode * parameters: bool list * stop: CancellationToken -> FSharpFunction option * FSharpMistake list
    /// What the F# has printed since this was last asked.
    abstract TakeOutput: unit -> string
