/* libpq, loaded by the first script that opens a PostgreSQL database (net/library.c). */
#ifndef HL_NET_LIBPQ_H
#define HL_NET_LIBPQ_H

#include <libpq-fe.h>

#include "base/err.h"

#define HL_PQ_CALLS(X)                                                                               \
  X(cancel) X(clear) X(cmdStatus) X(cmdTuples) X(conninfoFree) X(conninfoParse) X(connectPoll)       \
  X(connectStartParams) X(consumeInput) X(errorMessage) X(finish) X(flush) X(fname) X(freeCancel)    \
  X(freemem) X(ftype) X(getCancel) X(getisnull) X(getlength) X(getResult) X(getvalue) X(isBusy)      \
  X(nfields) X(ntuples) X(resultErrorField) X(resultStatus) X(sendQuery) X(sendQueryParams)          \
  X(serverVersion) X(setnonblocking) X(setNoticeReceiver) X(setSingleRowMode) X(socket) X(status)    \
  X(transactionStatus) X(unescapeBytea)

typedef struct hl_pq {
#define HL_X(name) __typeof__(PQ##name) *name;
  HL_PQ_CALLS(HL_X)
#undef HL_X
} hl_pq;

extern hl_pq hl_libpq;   /* valid after hl_pq_load */
/* Loads the library once; on the loop thread. HL_EIO names the Debian package to install. */
int hl_pq_load(hl_error *err);

#define PQcancel hl_libpq.cancel
#define PQclear hl_libpq.clear
#define PQcmdStatus hl_libpq.cmdStatus
#define PQcmdTuples hl_libpq.cmdTuples
#define PQconninfoFree hl_libpq.conninfoFree
#define PQconninfoParse hl_libpq.conninfoParse
#define PQconnectPoll hl_libpq.connectPoll
#define PQconnectStartParams hl_libpq.connectStartParams
#define PQconsumeInput hl_libpq.consumeInput
#define PQerrorMessage hl_libpq.errorMessage
#define PQfinish hl_libpq.finish
#define PQflush hl_libpq.flush
#define PQfname hl_libpq.fname
#define PQfreeCancel hl_libpq.freeCancel
#define PQfreemem hl_libpq.freemem
#define PQftype hl_libpq.ftype
#define PQgetCancel hl_libpq.getCancel
#define PQgetisnull hl_libpq.getisnull
#define PQgetlength hl_libpq.getlength
#define PQgetResult hl_libpq.getResult
#define PQgetvalue hl_libpq.getvalue
#define PQisBusy hl_libpq.isBusy
#define PQnfields hl_libpq.nfields
#define PQntuples hl_libpq.ntuples
#define PQresultErrorField hl_libpq.resultErrorField
#define PQresultStatus hl_libpq.resultStatus
#define PQsendQuery hl_libpq.sendQuery
#define PQsendQueryParams hl_libpq.sendQueryParams
#define PQserverVersion hl_libpq.serverVersion
#define PQsetnonblocking hl_libpq.setnonblocking
#define PQsetNoticeReceiver hl_libpq.setNoticeReceiver
#define PQsetSingleRowMode hl_libpq.setSingleRowMode
#define PQsocket hl_libpq.socket
#define PQstatus hl_libpq.status
#define PQtransactionStatus hl_libpq.transactionStatus
#define PQunescapeBytea hl_libpq.unescapeBytea

#endif
