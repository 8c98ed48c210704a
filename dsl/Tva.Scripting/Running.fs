/// Runs F# on a thread of its own, which ends when it is told to, also where the F# loops for ever.
///
/// Nothing is thrown into the thread from outside: what .NET has for that (ControlledExecution) ended the process where the F# was calling
/// and returning. The F# asks by itself (see Stopping).
module Tva.Scripting.Running

open System
open System.Runtime.ExceptionServices
open System.Threading

/// How long stopped work may take to end: the compiler ends with what it is at, and a long call into a library asks for nothing.
let private patience = TimeSpan.FromSeconds 4.

/// After so long a thread that still runs may be waiting for something.
let private soon = TimeSpan.FromSeconds 0.3

/// F# checks and evaluates deep trees.
[<Literal>]
let private StackBytes = 67_108_864

/// One piece of work: which code runs. A person's may be woken where it waits, the compiler's must not.
type private Stage() =
    let mutable isPersons = false
    let mutable hasBegun = false
    let mutable stops = false
    member _.IsPersons
        with get () = Volatile.Read &isPersons
        and set (value: bool) =
            Volatile.Write(&isPersons, value)
            if value then hasBegun <- true
    member _.HasBegun
        with get () = hasBegun
        and set (value: bool) = hasBegun <- value
    member _.Stops
        with get () = Volatile.Read &stops
        and set (value: bool) = Volatile.Write(&stops, value)

let private current = AsyncLocal<Stage | null>()

/// Works that are to stop and have not ended yet: where there are none, nothing else is asked.
let mutable private stopping = 0

/// What a person's F# calls in every loop and function; throws where it is to stop. Threads and tasks that it starts are its as well.
let check () =
    if Volatile.Read &stopping <> 0 then
        match current.Value with
        | null -> ()
        | stage -> if stage.Stops then raise (OperationCanceledException "the F# is to stop")

/// What follows on this thread is a person's code.
let begins () = match current.Value with null -> () | stage -> stage.IsPersons <- true

/// What follows on this thread is the compiler's again.
let ends () = match current.Value with null -> () | stage -> stage.IsPersons <- false

/// What follows on this thread compiles a text of which nothing has run.
let compiles () =
    match current.Value with
    | null -> ()
    | stage ->
        stage.IsPersons <- false
        stage.HasBegun <- false

/// Does what is no person's, whatever of it runs.
let aside (work: unit -> 'a) : 'a =
    let stage = current.Value
    current.Value <- null
    try
        work ()
    finally
        current.Value <- stage

/// Whether anything of the text has run.
let hasBegun () = match current.Value with null -> false | stage -> stage.HasBegun

/// F# Interactive loads what it has compiled right before it runs it.
let private onLoad (assembly: Reflection.Assembly) =
    match current.Value, assembly.GetName().Name with
    | null, _ -> ()
    | stage, NonNull name when name.StartsWith "FSI-ASSEMBLY" -> stage.IsPersons <- true
    | _ -> ()

let private listening = lazy AppDomain.CurrentDomain.add_AssemblyLoad (fun _ e -> onLoad e.LoadedAssembly)

/// Does the work; throws OperationCanceledException when stopped. Work that does not end is left to itself, ends where it next asks, and
/// `abandoned` is called.
let run (stop: CancellationToken) (abandoned: unit -> unit) (work: unit -> 'a) : 'a =
    stop.ThrowIfCancellationRequested()
    let result = ref Unchecked.defaultof<'a>
    let failure: ExceptionDispatchInfo option ref = ref None
    listening.Force()
    let stage = Stage()
    let body () =
        try
            current.Value <- stage
            result.Value <- work ()
        with e ->
            failure.Value <- Some(ExceptionDispatchInfo.Capture e)
        if stage.Stops then
            Interlocked.Decrement &stopping |> ignore
    let thread = Thread(body, StackBytes, IsBackground = true, Name = "F#")
    thread.Start()
    let mutable joined = thread.Join 20
    while not joined && not stop.IsCancellationRequested do
        joined <- thread.Join 20
    if not joined then
        Interlocked.Increment &stopping |> ignore
        stage.Stops <- true
        let watch = Diagnostics.Stopwatch.StartNew()
        let mutable woken = false
        while not joined && watch.Elapsed < patience do
            if not woken && watch.Elapsed > soon && stage.IsPersons then
                woken <- true
                thread.Interrupt()
            joined <- thread.Join 20
        if not joined then
            abandoned ()
    stop.ThrowIfCancellationRequested()
    failure.Value |> Option.iter _.Throw()
    result.Value
