/// From events and diagnostics to JSON, one object a line. NaN and the infinities are texts, as JSON has no such numbers.
module Tva.Json

open System
open System.IO
open System.Text
open System.Text.Encodings.Web
open System.Text.Json
open Tva.Dsl

let private options =
    JsonWriterOptions(Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true)

/// One object, on one line without its end.
let line (write: Utf8JsonWriter -> unit) =
    use buffer = new MemoryStream()
    (use json = new Utf8JsonWriter(buffer, options)
     json.WriteStartObject()
     write json
     json.WriteEndObject())
    Encoding.UTF8.GetString(buffer.GetBuffer(), 0, int buffer.Length)

let number (json: Utf8JsonWriter) (v: float) =
    if Double.IsFinite v then json.WriteNumberValue v
    else json.WriteStringValue(Format.number v)

let rec private shown (json: Utf8JsonWriter) item =
    json.WriteStartObject()
    match item with
    | Shown.Text t ->
        json.WriteString("kind", "text")
        json.WriteString("value", t)
    | Shown.Number v ->
        json.WriteString("kind", "number")
        json.WritePropertyName "value"
        number json v
    | Shown.Truth b ->
        json.WriteString("kind", "bool")
        json.WriteBoolean("value", b)
    | Shown.Table t ->
        json.WriteString("kind", "table")
        json.WriteStartArray "columns"
        for c in t.Columns do
            json.WriteStringValue c
        json.WriteEndArray()
        json.WriteStartArray "rows"
        for name, values in t.Rows do
            json.WriteStartObject()
            json.WriteString("name", name)
            json.WriteStartArray "values"
            for v in values do
                number json v
            json.WriteEndArray()
            json.WriteEndObject()
        json.WriteEndArray()
        if not t.Summary.IsEmpty then
            json.WriteStartObject "summary"
            for name, value in t.Summary do
                json.WritePropertyName(name: string)
                number json value
            json.WriteEndObject()
    | Shown.Findings f ->
        json.WriteString("kind", "findings")
        json.WriteStartArray "columns"
        for c in f.Columns do
            json.WriteStringValue c
        json.WriteEndArray()
        json.WriteStartArray "rows"
        for row in f.Rows do
            json.WriteStartObject()
            for column, cell in List.zip f.Columns row do
                match cell with
                | Cell.Word w -> json.WriteString(column, w)
                | Cell.Figure v ->
                    json.WritePropertyName column
                    number json v
                | Cell.Blank -> ()
            json.WriteEndObject()
        json.WriteEndArray()
    | Shown.Card(title, facts) ->
        json.WriteString("kind", "card")
        json.WriteString("title", title)
        json.WriteStartObject "facts"
        for name, value in facts do
            json.WriteString(name, value)
        json.WriteEndObject()
    | Shown.List items ->
        json.WriteString("kind", "list")
        json.WriteStartArray "items"
        for item in items do
            shown json item
        json.WriteEndArray()
    json.WriteEndObject()

/// What an event is as JSON; progress is for people and is nothing here.
let event (e: Event) =
    let named (name: string) write =
        Some(line (fun json ->
            json.WriteString("event", name)
            write json))
    match e with
    | Event.Shown(expression, items) ->
        named "shown" (fun json ->
            match expression with
            | Some text -> json.WriteString("expression", text)
            | None -> ()
            json.WriteStartArray "items"
            for item in items do
                shown json item
            json.WriteEndArray())
    | Event.Saved(path, bytes) ->
        named "saved" (fun json ->
            json.WriteString("path", path)
            json.WriteNumber("bytes", bytes))
    | Event.Truncated(path, modules) ->
        named "truncated" (fun json ->
            json.WriteString("path", path)
            json.WriteStartArray "modules"
            for name, rank, error in modules do
                json.WriteStartObject()
                json.WriteString("name", (name: string))
                json.WriteNumber("rank", (rank: int))
                json.WritePropertyName "relative_error"
                number json error
                json.WriteEndObject()
            json.WriteEndArray())
    | Event.Noted message -> named "note" (fun json -> json.WriteString("message", message))
    | Event.Warned message -> named "warning" (fun json -> json.WriteString("message", message))
    | Event.Started what -> named "started" (fun json -> json.WriteString("what", what))
    | Event.Progressed _ -> None
    | Event.Finished(read, written, elapsed) ->
        named "finished" (fun json ->
            json.WriteNumber("read", read)
            json.WriteNumber("written", written)
            json.WriteNumber("seconds", elapsed.TotalSeconds))

/// An event that is a message alone: a fault, a failed assertion.
let message (name: string) (text: string) =
    line (fun json ->
        json.WriteString("event", name)
        json.WriteString("message", text))

let diagnostic (texts: SourceText list) (d: Diagnostic) =
    line (fun json ->
        json.WriteString("event", "diagnostic")
        json.WriteString("code", d.Code)
        json.WriteString("severity", (match d.Severity with Error -> "error" | Warning -> "warning"))
        match texts |> List.tryFind (fun t -> t.Number = d.Span.Source) with
        | Some text ->
            let struct (row, column) = text.Position d.Span.Start
            let struct (endLine, endColumn) = text.Position d.Span.End
            json.WriteString("file", text.Name)
            json.WriteNumber("line", row)
            json.WriteNumber("column", column)
            json.WriteNumber("endLine", endLine)
            json.WriteNumber("endColumn", endColumn)
        | None -> ()
        json.WriteString("message", d.Message)
        match d.Help with
        | Some help -> json.WriteString("help", help)
        | None -> json.WriteNull "help")
