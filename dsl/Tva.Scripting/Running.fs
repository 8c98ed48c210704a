/// Runs F# on a thread of its own, which ends when it is told to, also where the F# loops for ever.
module Tva.Scripting.Running

// ControlledExecution is marked obsolete to keep it for interactive hosts, of which this is one.
#nowarn "44"

open System
open System.Runtime
open System.Runtime.ExceptionServices
open System.Threading

/// How long aborted work may take to give up before its thread is left to itself: code in a `finally` or in native calls can't be ended.
let private patience = TimeSpan.FromSeconds 2.

/// F# checks and evaluates deep trees.
[<Literal>]
let private StackBytes = 67_108_864

/// Does the work; throws OperationCanceledException when stopped. Work that can't be ended goes on in the background, where nobody
/// hears of it; `abandoned` is then called.
let run (stop: CancellationToken) (abandoned: unit -> unit) (work: unit -> 'a) : 'a =
    stop.ThrowIfCancellationRequested()
    let result = ref Unchecked.defaultof<'a>
    let failure: ExceptionDispatchInfo option ref = ref None
    let guarded () =
        try
            result.Value <- work ()
        with e ->
            failure.Value <- Some(ExceptionDispatchInfo.Capture e)
    let body () =
        if not stop.CanBeCanceled then guarded ()
        else
            try
                // Ends the thread's work at whatever instruction it is, as .NET has it for interactive hosts like this one.
                ControlledExecution.Run(guarded, stop)
            with :? OperationCanceledException ->
                ()
    let thread = Thread(body, StackBytes, IsBackground = true, Name = "F#")
    thread.Start()
    let mutable joined = thread.Join 50
    while not joined && not stop.IsCancellationRequested do
        joined <- thread.Join 50
    if not joined && not (thread.Join patience) then
        abandoned ()
    stop.ThrowIfCancellationRequested()
    failure.Value |> Option.iter _.Throw()
    result.Value
