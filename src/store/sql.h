/* What the files of the SQLite store share: the handle, its statements by
 * name, and the few verbs around sqlite3_*. Inside src/store only; everything
 * here is called by the writer thread, or with the store's lock held, and
 * blocks. A statement's codes are SQLite's (0: done); sql_fail makes them ours. */
#ifndef HL_STORE_SQL_H
#define HL_STORE_SQL_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "store/operate.h"
#include "store/sqlite.h"

#define SQL_WAIT_OF_STEP                                                                                   \
  "(SELECT w.id FROM step s CROSS JOIN parked p ON p.row=s.row AND p.idx=s.idx AND p.handler=s.handler"    \
  " CROSS JOIN wait w ON w.id=p.id AND w.name=s.name WHERE s.rowid=?1)"

#define STATEMENTS(X)                                                                                      \
  X(BEGIN, "BEGIN IMMEDIATE")                                                                              \
  X(COMMIT, "COMMIT")                                                                                      \
  X(ROLLBACK, "ROLLBACK")                                                                                  \
  X(TALLY, "UPDATE tally SET mark=?1, acknowledged=?2, s0=?3, s1=?4, s2=?5, s3=?6, s4=?7, s5=?8, s6=?9, s7=?10, s8=?11, s9=?12, s10=?13") \
  X(APPEND, "INSERT INTO log(id,received,source,account,n,hashes,body) VALUES(?,?,?,?,?,?,?)")             \
  X(PROGRESS, "INSERT INTO progress(row,keep,states) VALUES(?1,?2,?3)"                                     \
              " ON CONFLICT(row) DO UPDATE SET keep=excluded.keep, states=excluded.states")                \
  X(MARK, "DELETE FROM progress WHERE row>?1 AND row<=?2 AND keep=0")                                      \
  X(PARTIAL, "INSERT OR REPLACE INTO partial(row,idx,handler,state) VALUES(?,?,?,?)")                      \
  X(PARTIAL_DEL, "DELETE FROM partial WHERE row=?1 AND idx=?2")                                            \
  X(LEAVE, "UPDATE parked SET open=0, base=?3 WHERE row=?1 AND idx=?2")                                    \
  X(EVENT_STATE, "SELECT kind, base FROM parked WHERE row=?1 AND idx=?2")                                  \
  X(PARK, "INSERT INTO parked(id,row,idx,kind,open,base,received,due,attempts,failed,occurred,handler,type,source,account,event," \
          "error,lane) VALUES(?1,?2,?3,?4,?5,5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,CAST(?17 AS BLOB))")  \
  X(PARKED, "SELECT row, idx, open, base, kind FROM parked WHERE id=?1")                                   \
  X(REPARK, "UPDATE parked SET kind=?2, attempts=?3, due=?4, error=?5, lane=CASE WHEN ?3>0 THEN NULL ELSE lane END WHERE id=?1") \
  X(REPARK_KIND, "UPDATE parked SET kind=?2 WHERE id=?1")                                                  \
  X(LANE, "UPDATE parked SET attempts=?2, due=?3, occurred=?4, lane=CAST(?5 AS BLOB), error=coalesce(?6,error) WHERE id=?1") \
  X(STARTED, "INSERT INTO started(at,until,handler,lane) VALUES(?1,?2,?3,CAST(?4 AS BLOB))")               \
  X(STARTED_OVER, "DELETE FROM started WHERE until<=?1")                                                   \
  X(STARTS, "SELECT handler,lane,at FROM started WHERE until>?1 ORDER BY at")                              \
  X(LANE_NAMES, "SELECT lane FROM parked WHERE handler=?1 AND lane>?2 AND kind=4 ORDER BY lane LIMIT 1")   \
  X(READ_LANE, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,lane,occurred FROM parked" \
               " WHERE handler=?1 AND lane=?2 AND kind=4 ORDER BY occurred,id LIMIT ?3")                   \
  X(UNPARK, "DELETE FROM parked WHERE id=?1")                                                              \
  X(BASE, "UPDATE parked SET base=?3 WHERE row=?1 AND idx=?2")                                             \
  X(KV_SET, "INSERT INTO kv(script,account,key,value,expires) VALUES(?1,?2,?3,?4,?5)"                      \
            " ON CONFLICT DO UPDATE SET value=excluded.value, expires=excluded.expires")                   \
  X(KV_DEL, "DELETE FROM kv WHERE script=?1 AND account=?2 AND key=?3")                                    \
  X(KV_GET, "SELECT value, expires FROM kv WHERE script=?1 AND account=?2 AND key=?3")                     \
  X(KV_LIST, "SELECT key FROM kv WHERE script=?1 AND account=?2 AND key>=?3 AND key<?6"                    \
             " AND (expires=0 OR expires>?4) ORDER BY key LIMIT ?5")                                       \
  X(KV_EXPIRE, "DELETE FROM kv WHERE (script,account,key) IN"                                              \
               " (SELECT script,account,key FROM kv WHERE expires>0 AND expires<=?1 LIMIT ?2)")            \
  X(AUDIT, "INSERT INTO audit(at,script,account,kind,key,json) VALUES(?,?,?,?,?,?)")                       \
  X(AUDIT_SCAN, "SELECT at,script,account,kind,key,json,id FROM audit WHERE id>?1 ORDER BY id")             \
  X(AUDITS, "SELECT at,script,account,kind,key,json FROM audit WHERE kind=?1 AND key=?2 ORDER BY id DESC LIMIT ?3") \
  X(FIRED, "INSERT INTO schedule(name,last) VALUES(?1,?2) ON CONFLICT DO UPDATE SET last=excluded.last")   \
  X(STEP, "INSERT OR REPLACE INTO step(row,idx,handler,name,n,place,kind,what,json) VALUES(?,?,?,?,?,?,?,?,?)") \
  X(STEP_DEL, "DELETE FROM step WHERE row=?1 AND idx=?2 AND handler=?3 AND name=?4 AND n=?5")              \
  X(STEP_WRITES_DEL, "DELETE FROM step WHERE row=?1 AND idx=?2 AND handler=?3 AND name=?4 AND n>0")        \
  X(STEPS_DROP, "DELETE FROM step WHERE row=?1 AND idx=?2 AND handler=?3")                                 \
  X(STEPS_DROP_OF, "DELETE FROM step WHERE row<=0 AND handler=?3")                                         \
  X(STEPS_DONE, "INSERT OR REPLACE INTO step(row,idx,handler,name,n,place,kind,json)"                      \
                " SELECT DISTINCT s.row,s.idx,s.handler,s.name,0,(SELECT max(place)+1 FROM step m WHERE m.row=s.row" \
                " AND m.idx=s.idx AND m.handler=s.handler),1,'null' FROM step s JOIN parked p ON p.row=s.row AND p.idx=s.idx" \
                " AND p.handler=s.handler WHERE p.id=?1 AND s.n>0 AND s.kind=3")                           \
  X(STEPS_LOST_DEL, "DELETE FROM step WHERE n>0 AND kind=3 AND EXISTS(SELECT 1 FROM parked p WHERE p.id=?1" \
                    " AND p.row=step.row AND p.idx=step.idx AND p.handler=step.handler)")                  \
  X(STEPS, "SELECT name,n,place,kind,what,json FROM step WHERE row=?1 AND idx=?2 AND handler=?3 ORDER BY place,n") \
  X(WAIT, "INSERT OR REPLACE INTO wait(id,hash,type,fields,name,row,idx,upto,own) VALUES(?,?,?,?,?,?,?,?,?)")   \
  X(WAIT_PARKED, "UPDATE parked SET due=?2, failed=0, error=?3, event=coalesce(?4,event), lane=NULL WHERE id=?1") \
  X(WAIT_ON, "UPDATE parked SET due=?2, lane=NULL WHERE id=?1 AND EXISTS(SELECT 1 FROM wait WHERE id=?1)")            \
  X(WAIT_RESULT, "UPDATE step SET kind=1, json=?2 FROM wait w JOIN parked p ON p.id=w.id WHERE w.id=?1 AND step.row=p.row" \
                 " AND step.idx=p.idx AND step.handler=p.handler AND step.name=w.name AND step.n=0 AND step.kind=5") \
  X(WAIT_DUE, "UPDATE parked SET due=?2 WHERE id=?1 AND kind IN (4, 7)")                                           \
  X(WAIT_DEL, "DELETE FROM wait WHERE id=?1")                                                              \
  X(WAIT_UPTO, "SELECT upto FROM wait WHERE id=?1")                                                        \
  X(WAIT_LOOKED, "UPDATE wait SET upto=CASE WHEN upto>?2 THEN upto ELSE 0 END, row=?2, idx=?3 WHERE id=?1") \
  X(WAITS_FOR, "SELECT id,own FROM wait WHERE hash=?1 AND upto=0")                                         \
  X(WAITS_LOOK, "UPDATE wait SET row=CASE WHEN upto=0 THEN ?2-1 ELSE row END,"                             \
                " idx=CASE WHEN upto=0 THEN ?3 ELSE idx END, upto=?2 WHERE hash=?1")                       \
  X(WAITS, "SELECT id,hash,row,idx,upto,own FROM wait WHERE upto>0 ORDER BY row LIMIT ?1")             \
  X(WAIT_INDEX, "SELECT hash,type,fields FROM wait WHERE hash IS NOT NULL")                                \
  X(OWN, "INSERT INTO own(id,at,depth,handler,hash) VALUES(?1,?2,?3,?4,?5)")                               \
  X(OWN_DROP, "DELETE FROM own WHERE id=?1")                                                               \
  X(OWN_UPTO, "DELETE FROM own WHERE id<=?1")                                                              \
  X(OWNS, "SELECT id,at,depth,handler,hash FROM own ORDER BY id")                                          \
  X(DEBOUNCE, "INSERT INTO debounce(id,since,occurred,handler,key) VALUES(?1,?2,?3,?4,?5)")                \
  X(DEBOUNCE_DROP, "DELETE FROM debounce WHERE id=?1")                                                     \
  X(DEBOUNCES, "SELECT d.id,d.since,d.occurred,d.handler,d.key,p.due,p.event FROM debounce d"              \
               " JOIN parked p ON p.id=d.id AND p.kind=4 AND p.handler=d.handler ORDER BY d.id")           \
  X(PLACE_SET, "INSERT INTO place(source,place) VALUES(?1,?2) ON CONFLICT DO UPDATE SET place=excluded.place") \
  X(PLACE, "SELECT place FROM place WHERE source=?1")                                                      \
  X(LISTENER, "INSERT INTO listener(script,type,name,account,property) VALUES(?1,?2,?3,?4,?5)")            \
  X(LISTENERS_DROP, "DELETE FROM listener WHERE script=?1")                                                \
  X(LISTENERS, "SELECT script,type,name,account,property FROM listener ORDER BY script,type,name")         \
  X(HALT, "INSERT OR REPLACE INTO halted(script,why) VALUES(?1,?2)")                                       \
  X(HALT_DROP, "DELETE FROM halted WHERE script=?1")                                                       \
  X(HALTED, "SELECT script,why FROM halted")                                                               \
  X(SCHEDULES, "SELECT name,last FROM schedule ORDER BY name")                                             \
  X(HASHES, "SELECT id,received,hashes FROM log WHERE id>?1 AND id<=?2 AND received>=?3 ORDER BY id")      \
  X(NEXT_ROW, "SELECT received FROM log WHERE id>?1 ORDER BY id LIMIT 1")                                  \
  X(READ_LOG, "SELECT l.id,l.received,l.source,l.account,l.n,l.hashes,p.states,l.body"                     \
              " FROM log l LEFT JOIN progress p ON p.row=l.id WHERE l.id>?1 AND l.id<=?2 ORDER BY l.id")   \
  X(READ_PARTIAL, "SELECT row,idx,handler,state FROM partial WHERE row>?1 AND row<=?2")                    \
  X(READ_DUE, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,lane,occurred FROM parked" \
              " WHERE kind IN (4, 20) AND due<9223372036854775807 ORDER BY due, id LIMIT ?1")               \
  X(READ_HELD, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,failed FROM parked" \
               " WHERE kind IN (4, 20) AND kind=4 AND due>?1 AND due<=?2 AND failed>?1 AND due-failed<=?3"  \
               " ORDER BY failed, id")                                                                     \
  X(HANDLERS, "SELECT DISTINCT handler FROM parked WHERE kind IN (0, 4, 7)")                                  \
  X(OF_HANDLER, "SELECT id FROM parked WHERE handler=?1 AND kind=?2")                                      \
  X(LIST_LOG, "SELECT l.id,l.received,l.source,l.account,l.n,l.hashes,p.states,l.body"                     \
              " FROM log l LEFT JOIN progress p ON p.row=l.id WHERE l.id<?1 ORDER BY l.id DESC")           \
  X(LIST_GIVEN_UP, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,failed,error" \
                   " FROM parked WHERE kind IN (5, 7) AND kind=?1 AND id<?2 ORDER BY id DESC")             \
  X(LIST_DUE, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,failed,error" \
              " FROM parked WHERE kind IN (4, 20) AND kind=?1 AND (due, id)>(?2, ?3) ORDER BY due, id")    \
  X(PARKED_OF, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,failed,error" \
               " FROM parked WHERE row=?1 AND idx=?2 ORDER BY id")                                         \
  X(PARKED_ID, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,failed,error" \
               " FROM parked WHERE id=?1")                                                                 \
  X(STEPS_OF, "SELECT handler,name,n,place,kind,what,json FROM step WHERE row=?1 AND idx=?2 ORDER BY handler,place,n") \
  X(TRACE_PARKED, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,failed,error" \
                  " FROM parked WHERE id>?1 ORDER BY id")                                                  \
  X(TRACE_STEPS, "SELECT rowid,what,json,name FROM step WHERE rowid>?1 ORDER BY rowid")                    \
  X(TRACE_AUDIT, "SELECT id,key,json,account FROM audit WHERE id>?1 ORDER BY id")                                  \
  X(TRACE_KV, "SELECT script,account,key,value,expires FROM kv WHERE (script,account,key)>(?1,?2,?3) ORDER BY script,account,key") \
  X(LOG_BODY, "UPDATE log SET body=?2 WHERE id=?1")                                                        \
  X(PARKED_ERROR, "UPDATE parked SET error=?2 WHERE id=?1")                                                \
  X(STEP_TEXT, "UPDATE step SET what=?2, json=?3 WHERE rowid=?1")                                          \
  X(STEP_WAIT_DUE, "UPDATE parked SET due=received WHERE id=" SQL_WAIT_OF_STEP)                            \
  X(STEP_WAIT_DEL, "DELETE FROM wait WHERE id=" SQL_WAIT_OF_STEP)                                          \
  X(STEP_ROW_DEL, "DELETE FROM step WHERE rowid=?1")                                                       \
  X(AUDIT_TEXT, "UPDATE audit SET json=?2 WHERE id=?1")                                                    \
  X(AUDIT_EXPIRE, "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at<?1 ORDER BY at LIMIT ?2)")  \
  X(AUDIT_DEL, "DELETE FROM audit WHERE id=?1")                                                            \
  X(RETRY, "UPDATE parked SET kind=4, attempts=0, due=?2 WHERE id=?1 AND kind IN (5, 7)")                  \
  X(OLDEST, "SELECT id,received,n,length(body),EXISTS(SELECT 1 FROM parked WHERE row=log.id) FROM log WHERE id>?1 ORDER BY id") \
  X(FORGET, "DELETE FROM log WHERE id=?1")                                                                 \
  X(FORGET_PROGRESS, "DELETE FROM progress WHERE row=?1")

typedef enum statement {
#define X(name, sql) ST_##name,
  STATEMENTS(X)
#undef X
  ST_COUNT
} statement;

struct hl_db {
  sqlite3 *db;
  sqlite3_stmt *st[ST_COUNT];
  char *path, *wal_path;
  struct stat file, wal;   /* which files these were; wal.st_ino 0: not known yet */
  hl_store_state state;
  int wal_pages;
  int64_t page_bytes;      /* files keep the size they were made with */
  int64_t expire_after;    /* where the walk over old rows goes on */
  sqlite3 *copy;           /* a backup that is being made, or NULL */
  sqlite3_backup *backup;
  int os_error;            /* errno of the last statement that failed at the disk: SQLite forgets it at a commit */
};

enum { SQL_SCHEMA_VERSION = 5, SQL_APPLICATION_ID = 0x6875626c };

/* schema.c: the tables of a new file, and those of an earlier version brought
 * up to date in place: all of it or nothing. */
int sql_create(hl_db *db, const unsigned char *key);
int sql_migrate(hl_db *db, int64_t version);

/* sqlite_steps.c: operations of a transaction. */
int sql_apply_step(hl_db *db, const hl_op *op);
int sql_apply_step_forget(hl_db *db, const hl_op *op);
int sql_apply_steps_drop(hl_db *db, const hl_op *op);
int sql_apply_steps_settle(hl_db *db, const hl_op *op);

/* sqlite_waits.c: operations of a transaction. */
int sql_apply_wait(hl_db *db, const hl_op *op);
int sql_apply_wait_met(hl_db *db, const hl_op *op);
int sql_apply_wait_arrived(hl_db *db, const hl_op *op);
int sql_apply_wait_over(hl_db *db, const hl_op *op);

/* sqlite_own.c: operations of a transaction. */
int sql_apply_own(hl_db *db, const hl_op *op);
int sql_apply_debounce(hl_db *db, const hl_op *op); /* sqlite_debounce.c */
int sql_apply_trace(hl_db *db, const hl_op *op);    /* traces.c */
/* Says on which file what failed and what to do about it; a negative hl_err. */
int sql_fail(hl_db *db, int rc, const char *what, hl_error *err);
/* Prepared when first asked for; NULL: see sqlite3_errcode. */
sqlite3_stmt *sql_statement(hl_db *db, statement id);
/* Runs a statement that answers no rows. `ints` are bound first, texts after. */
int sql_run(hl_db *db, statement id, size_t n_ints, const int64_t *ints, size_t n_texts, const hl_str *texts);
int sql_exec(hl_db *db, const char *sql);
/* The one number that `sql` answers. */
int sql_int(hl_db *db, const char *sql, int64_t *out);
/* The columns that all selects of parked rows begin with, of the row at hand. */
void sql_read_parked(sqlite3_stmt *st, hl_bag *bag, hl_parked *p);
/* sqlite_read.c: lane and occurred, in columns 13 and 14. */
void sql_read_lane(sqlite3_stmt *st, hl_bag *bag, hl_parked *p);
/* lanes.c: operations of a transaction. */
int sql_apply_lane(hl_db *db, const hl_op *op);
int sql_apply_started(hl_db *db, const hl_op *op);
/* What an event's parked rows say of it; without any `base`. */
int sql_event_state(hl_db *db, int64_t row, int64_t index, hl_state base, hl_state *out);
int sql_backup_end(hl_db *db); /* SQLite's code */
int sql_make_folders(const char *path, hl_error *err); /* those of `path` that are missing */
int sql_sync_folder(const char *path); /* the one it lies in; errno */
int sql_read_logged(hl_db *db, sqlite3_stmt *st, hl_bag *bag, hl_logged *out); /* what LIST_LOG and READ_LOG give */
void sql_read_parked_whole(sqlite3_stmt *st, hl_bag *bag, hl_parked *p); /* with failed and error, the last two columns */
int64_t sql_skip_older(hl_db *db, int64_t lo, int64_t hi, int64_t since);
int sql_prune(hl_db *db, int64_t before, int64_t after, bool dry_run, hl_pruned *out);
/* Bound without a copy: `s` must outlive the step. */
void sql_bind_blob(sqlite3_stmt *st, int at, hl_str s);
/* A column, until the next step; or for as long as the bag. */
hl_str sql_blob(sqlite3_stmt *st, int i);
hl_str sql_copy(hl_bag *bag, sqlite3_stmt *st, int i);

#endif
