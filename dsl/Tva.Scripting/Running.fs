/// Runs F# on a thread of its own, which ends when it is told to, also where the F# loops for ever.
module Tva.Scripting.Running

open System
open System.Runtime
open System.Runtime.ExceptionServices
open System.Threading

// ControlledExecution is marked obsolete to keep it for interactive hosts, of which this is one.
#nowarn "44"

/// How long stopped work may take to end: the compiler ends with what it is at, and code in a `finally` or a native call can't be ended.
let private patience = TimeSpan.FromSeconds 4.

/// F# checks and evaluates deep trees.
[<Literal>]
let private StackBytes = 67_108_864

/// One piece of work: which code runs. A person's may be ended at any instruction, the compiler's must not: what it leaves half made
/// would end the process.
type private Stage(beginning: unit -> unit) =
    let mutable isPersons = false
    member _.IsPersons
        with get () = Volatile.Read &isPersons
        and set (value: bool) = Volatile.Write(&isPersons, value)

    member stage.Begin() =
        beginning ()
        stage.IsPersons <- true

let private current = AsyncLocal<Stage | null>()

/// What follows on this thread is a person's code.
let begins () = match current.Value with null -> () | stage -> stage.IsPersons <- true

/// What follows on this thread is the compiler's again.
let ends () = match current.Value with null -> () | stage -> stage.IsPersons <- false

/// F# Interactive loads what it has compiled right before it runs it.
let private onLoad (assembly: Reflection.Assembly) =
    match current.Value, assembly.GetName().Name with
    | null, _ -> ()
    | stage, NonNull name when name.StartsWith "FSI-ASSEMBLY" -> stage.Begin()
    | _ -> ()

let private listening = lazy AppDomain.CurrentDomain.add_AssemblyLoad (fun _ e -> onLoad e.LoadedAssembly)

/// Does the work; throws OperationCanceledException when stopped. Work that does not end is left to itself, and `abandoned` is called; the
/// person's code does not begin any more then.
let run (stop: CancellationToken) (abandoned: unit -> unit) (work: unit -> 'a) : 'a =
    stop.ThrowIfCancellationRequested()
    let result = ref Unchecked.defaultof<'a>
    let failure: ExceptionDispatchInfo option ref = ref None
    let abort = new CancellationTokenSource()
    listening.Force()
    let beginning () =
        if stop.IsCancellationRequested then
            // From another thread: a thread does not end itself.
            ThreadPool.UnsafeQueueUserWorkItem((fun _ -> abort.Cancel()), null) |> ignore
            Thread.Sleep patience
    let stage = Stage beginning
    let guarded () =
        try
            current.Value <- stage
            result.Value <- work ()
        with e ->
            failure.Value <- Some(ExceptionDispatchInfo.Capture e)
    let body () =
        try
            ControlledExecution.Run(guarded, abort.Token)
        with :? OperationCanceledException ->
            ()
    let thread = Thread(body, StackBytes, IsBackground = true, Name = "F#")
    thread.Start()
    let mutable joined = thread.Join 20
    while not joined && not stop.IsCancellationRequested do
        joined <- thread.Join 20
    if not joined then
        let watch = Diagnostics.Stopwatch.StartNew()
        while not joined && watch.Elapsed < patience do
            if stage.IsPersons then
                abort.Cancel()
            joined <- thread.Join 20
        if not joined then
            abandoned ()
    stop.ThrowIfCancellationRequested()
    failure.Value |> Option.iter _.Throw()
    result.Value
