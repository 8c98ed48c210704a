/// The Language Server Protocol over the standard streams: what an editor says about its texts goes in, what it shows of them goes out.
namespace Tva.Lsp

open System
open System.Collections.Generic
open System.IO
open System.Text.Json
open System.Threading
open System.Threading.Tasks
open StreamJsonRpc
open Tva.Dsl

/// Answers the editor's messages. They may come on any thread; one is answered at a time, in order.
type Handler(options: EvaluatorOptions, working: string, version: string) =
    let gate = obj ()
    let documents = Dictionary<string, Document>()
    let mutable shutdown = false

    let text (e: JsonElement) (path: string list) =
        let found = (e, path) ||> List.fold (fun e name -> e.GetProperty name)
        found.GetString() |> Option.ofObj |> Option.defaultValue ""

    let publish (rpc: JsonRpc | null) (uri: string) (found: Finding[]) =
        match rpc with
        | null -> Task.CompletedTask
        | rpc -> rpc.NotifyWithParameterObjectAsync("textDocument/publishDiagnostics", {| uri = uri; diagnostics = found |})

    let place (p: JsonElement) =
        let line, character = p.GetProperty("line").GetInt32(), p.GetProperty("character").GetInt32()
        if line < 0 || character < 0 then
            raise (ArgumentException $"there is no line {line}, character {character}")
        line, character

    /// The text after one change: of a range, or of all of it.
    let changed (before: string) (change: JsonElement) =
        let text = text change [ "text" ]
        match change.TryGetProperty "range" with
        | true, range ->
            let offset (name: string) =
                let line, character = place (range.GetProperty name)
                Position.toOffset before line character
            let first, last = offset "start", offset "end"
            if last < first then
                raise (ArgumentException "a range ends before it begins")
            String.Concat(before.AsSpan(0, first), text, before.AsSpan last)
        | _ -> text

    /// Answers about a place in an open text; nothing where it is not open.
    let at (p: JsonElement) (answer: Document -> int -> int -> obj | null) : obj | null =
        lock gate (fun () ->
            match documents.TryGetValue(text p [ "textDocument"; "uri" ]) with
            | true, d ->
                let line, character = place (p.GetProperty "position")
                answer d line character
            | _ -> null)

    let check (rpc: JsonRpc | null) (uri: string) (change: Document -> unit) : Task =
        lock gate (fun () ->
            match documents.TryGetValue uri with
            | true, d ->
                change d
                publish rpc uri (d.Diagnostics())
            | _ -> Task.CompletedTask)

    member val Rpc: JsonRpc | null = null with get, set
    /// Whether the editor has taken leave.
    member _.IsShutdown = shutdown
    member val Exited = TaskCompletionSource() with get

    [<JsonRpcMethod("initialize", UseSingleObjectParameterDeserialization = true)>]
    member _.Initialize(_p: JsonElement) =
        {| capabilities =
            {| textDocumentSync = {| openClose = true; change = 2; save = {| includeText = false |} |}
               hoverProvider = true
               definitionProvider = true
               completionProvider = {| triggerCharacters = [| "."; "\""; "/"; "@"; "(" |] |} |}
           serverInfo = {| name = "tva"; version = version |} |}

    [<JsonRpcMethod("initialized", UseSingleObjectParameterDeserialization = true)>]
    member _.Initialized(_p: JsonElement) = ()

    [<JsonRpcMethod("textDocument/didOpen", UseSingleObjectParameterDeserialization = true)>]
    member this.Opened(p: JsonElement) : Task =
        let uri = text p [ "textDocument"; "uri" ]
        lock gate (fun () ->
            if not (documents.ContainsKey uri) then
                documents[uri] <- new Document(options, uri, Document.folderOf working uri))
        check this.Rpc uri (fun d -> d.Text <- text p [ "textDocument"; "text" ])

    [<JsonRpcMethod("textDocument/didChange", UseSingleObjectParameterDeserialization = true)>]
    member this.Changed(p: JsonElement) : Task =
        let changes = p.GetProperty "contentChanges"
        check this.Rpc (text p [ "textDocument"; "uri" ]) (fun d -> d.Text <- (d.Text, changes.EnumerateArray()) ||> Seq.fold changed)

    [<JsonRpcMethod("textDocument/didSave", UseSingleObjectParameterDeserialization = true)>]
    member this.Saved(p: JsonElement) : Task = check this.Rpc (text p [ "textDocument"; "uri" ]) _.Refresh()

    [<JsonRpcMethod("textDocument/didClose", UseSingleObjectParameterDeserialization = true)>]
    member this.Closed(p: JsonElement) : Task =
        let uri = text p [ "textDocument"; "uri" ]
        lock gate (fun () ->
            match documents.TryGetValue uri with
            | true, d ->
                documents.Remove uri |> ignore
                (d :> IDisposable).Dispose()
                publish this.Rpc uri [||]
            | _ -> Task.CompletedTask)

    [<JsonRpcMethod("textDocument/hover", UseSingleObjectParameterDeserialization = true)>]
    member _.Hover(p: JsonElement) : obj | null = at p (fun d line character -> d.Hover(line, character))

    [<JsonRpcMethod("textDocument/completion", UseSingleObjectParameterDeserialization = true)>]
    member _.Completion(p: JsonElement) : obj | null = at p (fun d line character -> d.Complete(line, character))

    [<JsonRpcMethod("textDocument/definition", UseSingleObjectParameterDeserialization = true)>]
    member _.Definition(p: JsonElement) : obj | null = at p (fun d line character -> d.Definition(line, character))

    [<JsonRpcMethod("shutdown")>]
    member _.Shutdown() : obj | null =
        shutdown <- true
        null

    [<JsonRpcMethod("exit")>]
    member this.Exit() = this.Exited.TrySetResult() |> ignore

    interface IDisposable with
        member _.Dispose() =
            lock gate (fun () ->
                for d in documents.Values do
                    (d :> IDisposable).Dispose()
                documents.Clear())

module Server =

    /// Nothing a text says is done while it is being written, so what would need the person's word when run is no mistake yet.
    let private whileWriting (options: EvaluatorOptions) =
        { options with Permissions = { options.Permissions with Run = true }; Run = { options.Run with Cache = false } }

    /// Serves until the editor says `exit`, hangs up, or the process is to stop; 0 where it took leave first, as the protocol has it.
    let run (options: EvaluatorOptions) (working: string) (version: string) (input: Stream) (cancel: CancellationToken) : int =
        use handler = new Handler(whileWriting options, working, version)
        let start (rpc: JsonRpc) =
            rpc.AddLocalRpcTarget(handler, JsonRpcTargetOptions(DisposeOnDisconnect = false))
            handler.Rpc <- rpc
            rpc.StartListening()
        let ended (failure: exn option) =
            match failure with
            | Some e -> handler.Exited.TrySetException e |> ignore
            | None -> ()
        use rpc = Transport.serve input (Console.OpenStandardOutput()) start ended
        use _stop = cancel.Register(fun () -> handler.Exited.TrySetResult() |> ignore)
        Task.WhenAny(rpc.Completion, handler.Exited.Task).Wait()
        // Why the input could not be read on comes before its end.
        if handler.Exited.Task.IsFaulted then
            handler.Exited.Task.GetAwaiter().GetResult()
        if handler.IsShutdown then 0 else 1
