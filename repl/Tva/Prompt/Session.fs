/// What the prompt keeps from one text to the next: names, permissions, what has been said; and how a text is done.
namespace Tva.Prompt

open System
open System.Diagnostics
open System.Threading
open Tva
open Tva.Dsl
open Tva.Dsl.Services

/// How a text ended.
[<RequireQualifiedAccess>]
type Ended =
    | Done
    /// The text is wrong; nothing was done.
    | Wrong
    | Failed
    | Cancelled

/// The language that texts at the prompt are in.
[<RequireQualifiedAccess>]
type Language =
    | Tva
    | FSharp

/// F# at the prompt; here without a word of its compiler, which is loaded when it is first wanted.
type IFSharpPrompt =
    inherit IDisposable
    /// Loads the compiler on the side.
    abstract Prepare: unit -> unit
    /// Does a text and shows what it gives.
    abstract Run: text: string -> unit
    /// Completions in a text at an offset; waits for nothing.
    abstract Complete: text: string * at: int -> Completion
    /// Names of the session that F# has otherwise.
    abstract Renamed: (string * string) list

type Session(host: Host, console: PromptConsole, terminal: ITerminal, options: EvaluatorOptions) =
    let evaluator = lazy (new Evaluator({ options with Session = true }))
    let service = lazy (LanguageService evaluator.Value)
    // The engine's first run is the runtime's more than its own, and a person types longer than that takes; nobody waits for it.
    let warmUp () = try Tva.Core.Execution.WarmUp.Run() with _ -> ()
    let prepare () =
        try
            evaluator.Force() |> ignore
            Thread(warmUp, IsBackground = true).Start()
        with _ ->
            ()
    let preparing = Thread(prepare, IsBackground = true)

    let mutable preparesFSharp = false

    /// A question waits for its answer: then Ctrl-C is one.
    let mutable asking = false

    /// Asks a question with yes or no. What was typed or pasted before is no answer.
    let agrees (question: string) =
        asking <- true
        terminal.Write($"{question} [y/N] ")
        let ahead = terminal.Pending
        let rec answer () =
            match terminal.Read() with
            | Input.Resized -> answer ()
            | Input.Key(Key.Text("y" | "Y")) -> true
            | _ -> false
        let yes = not ahead && answer ()
        asking <- false
        terminal.Write(if yes then "yes\r\n" elif ahead then "no: more was typed already\r\n" else "no\r\n")
        yes

    /// What `it` was made by.
    let mutable shown = ""

    /// The card of a result says what it was made by.
    let withExpression (text: string option) (items: Shown list) =
        let text = text |> Option.map (fun t -> if t = "it" && shown <> "" then shown else t)
        text |> Option.iter (fun t -> shown <- t)
        match text, items with
        | Some text, [ Shown.Card(("Model" | "Delta" | "Basis") as title, facts) ] ->
            let lines = evaluator.Value.Provenance(text).Split('\n')
            let last = Array.last lines
            let definition = lines |> Array.tryFindBack (fun l -> l.StartsWith(last + " = "))
            let expression = match definition with Some d -> d.Substring(last.Length + 3) | None -> last
            [ Shown.Card(title, facts @ [ "expression", expression ]) ]
        | _ -> items

    /// Makes the evaluator on the side; once the first prompt is there, so that nothing delays that.
    member _.Prepare() = preparing.Start()

    /// Makes F#'s side.
    member val FSharp: Lazy<IFSharpPrompt> = lazy (invalidOp "there is no F# here") with get, set
    member val Language = Language.Tva with get, set
    /// Loads the F# compiler on the side, once.
    member this.PrepareFSharp() =
        if not preparesFSharp then
            preparesFSharp <- true
            Thread((fun () -> try this.FSharp.Value.Prepare() with _ -> ()), IsBackground = true).Start()

    member _.Host = host
    member _.Terminal = terminal
    member _.Evaluator = evaluator.Value
    member _.Service = service.Value
    member _.Options = { options with Run = evaluator.Value.Settings; Permissions = evaluator.Value.Permissions }

    /// Text for the results' stream.
    member _.Say(text: string) =
        host.Out.Write(if text.EndsWith '\n' then text else text + "\n")
        host.Out.Flush()

    /// Does some work that Ctrl-C stops; whatever goes wrong is told, and the prompt goes on.
    member _.Guard(work: Report -> CancellationToken -> Ended) : Ended =
        use cancel = CancellationTokenSource.CreateLinkedTokenSource host.Cancel
        let stop () =
            if not asking then
                try
                    cancel.Cancel()
                with :? ObjectDisposedException -> ()
            not asking
        use _watch = terminal.WatchInterrupt stop
        let report = Report(host, false)
        try
            let ended = work report cancel.Token
            report.End()
            ended
        with e ->
            match Cause.fault e with
            | _ when Cause.isCancelled e ->
                report.Cancelled()
                Ended.Cancelled
            | Some message ->
                report.Fault message
                Ended.Failed
            | None ->
                report.Internal e
                Ended.Failed

    /// Checks a text, asking for the permissions it needs; true where it may be run.
    member _.Check(report: Report, name: string, folder: string, text: string) : bool =
        let e = evaluator.Value
        let rec check () =
            let found = e.Check(name, folder, text)
            let needs (flag: string) = found |> List.exists (fun d -> d.Code = Diagnostics.PermissionCode && d.Help |> Option.exists _.EndsWith(flag))
            let errors = found |> List.filter (fun d -> d.Severity = Severity.Error)
            // Where more is wrong, that comes first.
            let onlyNeeds = not errors.IsEmpty && errors |> List.forall (fun d -> d.Code = Diagnostics.PermissionCode)
            let allows flag what = onlyNeeds && needs flag && agrees $"this text {what}; allow that in this session?"
            if allows "--allow-run" "starts programs (evaluate)" then
                e.Permissions <- { e.Permissions with Run = true }
                check ()
            elif allows "--allow-fsharp" "runs F# (fs) with your rights" then
                e.Permissions <- { e.Permissions with FSharp = true }
                check ()
            else
                report.Findings(e.Texts, found, options.Run.Strict)
        check ()

    /// Checks and runs a text. `onPass` is told of each pass: bytes read, bytes written, time.
    member this.Run(name: string, folder: string, text: string, onPass: int64 -> int64 -> unit) : Ended =
        this.Guard(fun report cancel ->
            let e = evaluator.Value
            let hear event =
                match event with
                | Event.Shown(expression, items) ->
                    let width = if host.Width > 0 then terminal.Width else 80
                    report.Result(Show.lines console.ColorResults width expression.IsSome (withExpression expression items))
                | Event.Finished(read, written, _) ->
                    onPass read written
                    report.Event event
                | other -> report.Event other
            e.Watch((fun event -> hear event), cancel)
            if not (this.Check(report, name, folder, text)) then
                e.Forget()
                Ended.Wrong
            else
                match e.Run((fun event -> hear event), cancel) with
                | Outcome.Completed -> Ended.Done
                | Outcome.AssertionFailed message ->
                    report.AssertionFailed message
                    Ended.Failed)

    interface IDisposable with
        member this.Dispose() =
            if this.FSharp.IsValueCreated then
                this.FSharp.Value.Dispose()
            if preparing.ThreadState.HasFlag ThreadState.Unstarted |> not then
                preparing.Join()
            if evaluator.IsValueCreated then
                (evaluator.Value :> IDisposable).Dispose()
